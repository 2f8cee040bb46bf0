//! Everything that is tested through the front door of the library: one binary, one module for each kind of test.

mod scripts;
mod simulator;
