//! Memory calls of a process that went live.

use super::service::same_as_native;

#[test]
fn memory_is_what_it_was_and_goes_on_growing() {
    same_as_native("memory", 1, |service| {
        service.ask_all(&["fill", "check", "recurse 100"])?;
        service.kill()?;
        service.ask_all(&["check", "recurse 1500", "grow", "forbidden"])
    });
}
