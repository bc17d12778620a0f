//! butt-dial-gateway
