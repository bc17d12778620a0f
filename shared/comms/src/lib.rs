//! butt-dial-comms
