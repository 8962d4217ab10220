//! What is seen of the local server, and how it compares with its upstream.

mod running;

mod contact;
mod lineage;
mod listening;

mod observer;

pub(super) use observer::Observer;
