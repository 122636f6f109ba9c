//! Signal state: pending signals, masks, handlers, the alternate stack, a handler under way.

use super::service::{same_as_native, same_at_random};

const SERVER: &str = "signals";

#[test]
fn blocked_signals_still_wait_with_their_values_and_their_order() {
    same_as_native(SERVER, 1, |service| {
        service.ask("block")?;
        service.kill()?;
        service.ask("unblock")?;
        service.more()
    });
}

#[test]
fn dispositions_masks_and_the_alternate_stack_stay() {
    same_as_native(SERVER, 1, |service| {
        service.ask("dispose")?;
        service.kill()?;
        service.ask("inspect")?;
        service.more()
    });
}

/// The frame of the handler, built by the primary's kernel, is returned through in the replica.
#[test]
fn a_handler_under_way_goes_on_and_returns() {
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["enter", "inside"])?;
        service.kill()?;
        service.ask_all(&["inside", "leave"])?;
        service.more()?;
        service.ask("inside")
    });
}

#[test]
fn signals_of_input_come_on() {
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["driven", "by"])?;
        service.kill()?;
        service.wait_solo()?;
        service.ask("by")
    });
}

#[test]
fn nothing_changes_wherever_the_primary_dies() {
    same_at_random(SERVER, 3, true, |service| {
        service.ask_all(&["block"])?;
        service.ask("unblock")?;
        service.more()?;
        service.ask_all(&["enter", "inside", "leave"])?;
        service.more()?;
        service.ask("dispose")?;
        service.ask("inspect")?;
        service.more()
    });
}
