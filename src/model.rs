//! The words of the data model: doors, names, label sets, kinds, and the value a series holds. No format, clock or actor.

pub mod door;
pub mod family;
pub mod labels;
pub mod name;
pub mod sketch;
pub mod timestamp;
pub mod value;
