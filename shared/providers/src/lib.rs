//! butt-dial-providers
