//! butt-dial-tests
