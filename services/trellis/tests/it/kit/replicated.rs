//! A fleet with several instances of the inventory.
//!
//! They have a catalogue each, all of them the samples, so they are good for reading
//! only.

use tempfile::TempDir;
use trellis_api::shop::v1::shop_service_client::ShopServiceClient;
use trellis_chassis::transport::{self, Transport};

use super::Process;

/// A gateway in front of some instances of the inventory. It ends with the test.
pub(crate) struct Replicated {
    pub(crate) inventories: Vec<Process>,
    gateway: Process,
    _others: Vec<Process>,
    _folder: TempDir,
}

impl Replicated {
    pub(crate) fn start(instances: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inventories: Vec<Process> = (0..instances)
            .map(|number| {
                let own = folder.path().join(number.to_string());
                std::fs::create_dir(&own).unwrap();
                Process::start(Process::command(&["inventory"], &own), &["inventory"], &own)
            })
            .collect();
        let addresses: Vec<String> =
            inventories.iter().map(|process| format!("http://{}", process.address)).collect();

        let mut others: Vec<Process> = Vec::new();
        for role in ["payment", "recommendation", "order", "user", "gateway"] {
            let mut command = Process::command(&[role], folder.path());
            command.env("TRELLIS_PEERS_INVENTORY", addresses.join(","));
            for peer in &others {
                let variable = format!("TRELLIS_PEERS_{}", peer.roles[0].to_uppercase());
                command.env(variable, format!("http://{}", peer.address));
            }
            others.push(Process::start(command, &[role], folder.path()));
        }
        let gateway = others.pop().unwrap();
        Self { inventories, gateway, _others: others, _folder: folder }
    }

    pub(crate) fn client(&self) -> ShopServiceClient<Transport> {
        let endpoint = format!("http://{}", self.gateway.address);
        ShopServiceClient::new(transport::remote(&endpoint).unwrap())
    }
}
