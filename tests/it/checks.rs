//! What a replica recomputes and no argument or output shows is compared all the same: registers at each record, memory where that is
//! asked for.

mod memory;
mod registers;
mod verify;
