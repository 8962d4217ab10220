//! Writing files so that neither a crash nor a disk that hangs does harm: [`atomic`] replaces a file as a whole, and a
//! [`FileWorker`] does such work off the loop, one piece after the other and with a deadline.

pub mod atomic;

mod worker;

pub use worker::{FileWorker, Late};
