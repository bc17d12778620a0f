//! butt-dial-store
