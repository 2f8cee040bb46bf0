//! The simulated chips, held against the firmware's own conversations, the geometry of jobs, and rubbish.

mod boots;
mod firmware;
mod hosts;
mod programs;
mod rubbish;
