//! Reading the configuration again.

use std::rc::Rc;

use tracing::{error, info};

use super::Keeper;
use crate::postgres::PostgresError;

impl Keeper {
    pub(super) fn reload(&mut self) {
        info!("reading the configuration again");
        match self.config.reload() {
            Ok(config) => {
                if let Some(monitor) =
                    config.monitor.clone().filter(|uri| Some(uri) != self.config.monitor.as_ref())
                {
                    self.link.retarget(monitor);
                }
                self.instance.reconfigure(config.instance(Some(self.state.node)));
                self.config = config;
                self.recall.forget_admitted();
                self.look_again();
                let instance = Rc::clone(&self.instance);
                self.reloading.start(async move {
                    instance.write_settings().await?;
                    instance.reload().await
                });
            }
            Err(error) => error!("the configuration was not changed: {error}"),
        }
    }
}

pub(super) fn done(result: Result<(), PostgresError>) {
    match result {
        Ok(()) => info!("the configuration was read again"),
        Err(error) => error!("Postgres did not take over the changed configuration: {error}"),
    }
}
