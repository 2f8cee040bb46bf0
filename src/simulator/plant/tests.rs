//! Plants with virtual time.
