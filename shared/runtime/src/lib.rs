//! butt-dial-runtime
