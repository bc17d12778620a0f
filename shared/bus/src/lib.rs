//! butt-dial-bus
