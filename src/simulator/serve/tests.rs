//! Simulations over real sockets.
