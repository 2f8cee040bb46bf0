//! Another configuration while running: wholly or not at all.

use super::desk::News;
use super::house::House;
use super::supervisor::Life;
use crate::config::{self, Config};
use crate::error::{Code, Fault};
use crate::lab::command::{Caller, Command};
use std::sync::Arc;

/// Reads the configuration again and puts it in force. Answers what changed, in sentences.
pub async fn reload(house: &Arc<House>) -> Result<Vec<String>, Fault> {
    // Two at once could leave the lab by one file and the rest by another.
    let _one_at_a_time = house.reloading.lock().await;
    house.tell_serving(Life::Reloading);
    let came = read_again(house).await;
    house.tell_serving(Life::Reloaded(came.as_ref().map(drop).map_err(|fault| fault.msg.clone())));
    came
}

async fn read_again(house: &Arc<House>) -> Result<Vec<String>, Fault> {
    let new = house.read_config().map_err(refused)?;
    let old = house.config();
    let changes: Vec<_> = config::changes(&old, &new).into_iter().map(|change| change.sentence).collect();
    leave_machines(house, &old, &new).await?;
    house.hardware.configure(&new.machines);
    let specs = new.machines.iter().map(|machine| machine.spec.clone()).collect();
    house.counter.command(Caller::server(), Command::Configure(specs)).await?;
    house.counter.tell(News::Options(new.lab_options()));
    house.set_config(new);
    tracing::info!(?changes, "the configuration was read again");
    Ok(changes)
}

/// Machines that go, or come back with other boards, end their jobs while their old controllers still listen.
async fn leave_machines(house: &House, old: &Config, new: &Config) -> Result<(), Fault> {
    let stays = |machine: &&config::MachineConfig| {
        new.machines
            .iter()
            .any(|other| other.spec.name == machine.spec.name && other.spec.same_boards(&machine.spec))
    };
    let staying: Vec<_> = old.machines.iter().filter(stays).map(|machine| machine.spec.clone()).collect();
    if staying.len() == old.machines.len() {
        return Ok(());
    }
    house.counter.command(Caller::server(), Command::Configure(staying)).await.map(drop)
}

fn refused(why: String) -> Fault {
    Fault::new(Code::BAD_CONFIG, why)
}
