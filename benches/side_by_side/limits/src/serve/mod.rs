//! The servers that Berth is compared with.

pub mod bare;
pub mod grpc;
