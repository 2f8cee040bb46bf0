//! Berth
