//! butt-dial
