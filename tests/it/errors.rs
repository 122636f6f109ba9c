//! What goes wrong: each error of docs/errors.md gives its exit status and says what is wrong, what was expected and what to
//! do, and leaves nothing behind: no process, no socket, nothing on the server's standard output.

mod case;
mod catalogue;
mod deaths;
mod disk;
mod logs;
mod peers;
mod programs;
mod refused;
mod state;
mod typed;
mod unprivileged;
