//! Processes that the server has started are lost with its machine: the server sees that they were killed.

use super::service::{same_as_native, same_at_random};

const SERVER: &str = "children";

#[test]
fn a_child_that_lives_is_a_killed_one() {
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["start", "talk a", "run echo before", "talk b"])?;
        service.kill()?;
        service.wait_solo()?;
        service.ask("talk c")?;
        service.differs("c came back", "EPIPE, then 0")?;
        service.ask("end")?;
        service.differs("exited with 3", "killed by 9")?;
        service.ask("code")?;
        service.differs("code 1", "code 2")?;
        service.ask("again")?;
        service.ask_all(&["run echo after; exit 2", "start", "talk d", "end", "again"])
    });
}

#[test]
fn children_that_have_ended_are_forgotten_wherever_the_primary_dies() {
    same_at_random(SERVER, 2, false, |service| {
        service.ask_all(&["run echo one", "run pwd >/dev/null; echo two | tr a-z A-Z", "run exec echo three"])
    });
}
