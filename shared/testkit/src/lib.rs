//! butt-dial-testkit
