//! x
pub mod aggregate;
pub mod exposition;
pub mod model;
pub mod push;
pub mod registry;
pub mod shard { pub mod batch; pub mod table; }
