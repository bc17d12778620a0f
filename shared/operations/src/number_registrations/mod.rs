//! Operations about registrations of US numbers: brands, campaigns and toll-free verifications.

pub mod delete_registration;
pub mod get_registration;
pub mod get_requirements;
pub mod list_registrations;
pub mod register_number;
pub mod update_registration;
pub mod views;
