//! butt-dial-kv
