//! From registers and a copy of the stack to the addresses that called each other.
pub mod cfi;
pub mod frame;
pub mod live;
pub mod load;
pub mod rows;
pub mod search;
pub mod steps;
pub mod walk;
