//! The two writes of every send: accept before the request, settle after it.

mod accept;
mod budget;
mod groups;
mod settle;
mod tasks;
mod token_budget;

use super::*;
use crate::Acceptance;
