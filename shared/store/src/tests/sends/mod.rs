//! The two writes of every send: accepting it before the request leaves, settling it afterwards.

mod accept;
mod budget;
mod groups;
mod settle;

use super::*;
use crate::Acceptance;
