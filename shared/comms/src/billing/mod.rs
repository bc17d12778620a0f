//! What sending costs, and how much of it an agent may do.

pub mod budget;
pub mod limits;
pub mod prices;
pub mod usage;
