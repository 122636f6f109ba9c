//! What a replica recomputes and no argument or output shows is compared all the same: registers at each record.

mod registers;
