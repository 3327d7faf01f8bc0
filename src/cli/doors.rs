//! The doors: every socket that the settings name, taken at once, or from a predecessor.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::serve::House;
use crate::admin::Vending;
use crate::listen::{Door, Inherited};
use crate::settings::{Credentials, CredentialsDoor, Limits, Listen, Settings};

/// The doors, taken before anything is promised.
pub struct Doors {
    /// Those of the API.
    pub api: Vec<Door>,
    /// The operators'.
    pub admin: Door,
    /// The one for probes from elsewhere.
    pub health: Option<Door>,
    /// The one where credentials are handed out.
    pub credentials: Option<(Door, Arc<Vending>)>,
    /// Where the API is, as clients write it: `http://…`, `https://…`, or the path of a Unix socket.
    pub endpoints: Vec<String>,
    /// Where the API listens without TLS.
    pub api_address: Option<SocketAddr>,
    /// Where the admin port listens.
    pub admin_address: SocketAddr,
    /// Where probes from elsewhere may ask.
    pub health_address: Option<SocketAddr>,
    /// Where credentials are handed out on loopback.
    pub credentials_address: Option<SocketAddr>,
}

impl Doors {
    /// Takes all of them; those that were handed over as they are.
    ///
    /// # Errors
    /// Says which cannot be had, and why.
    pub fn take(house: &House, inherited: &mut Inherited) -> Result<Self, String> {
        let (listen, patience) = (&house.settings.listen, house.settings.limits.request);
        let proxies = &house.settings.network.proxy_protocol;
        let (mut api, mut endpoints, mut api_address) = (Vec::new(), Vec::new(), None);
        if let Some(address) = listen.api {
            let door = Door::tcp("listen.api", address, patience, inherited)?.behind(proxies);
            api_address = door.address();
            endpoints.extend(api_address.map(|address| format!("http://{address}")));
            api.push(door);
        }
        if let Some(((address, _), tls)) = listen.tls.as_ref().zip(house.tls.clone()) {
            let door = Door::tcp("listen.tls", *address, patience, inherited)?.behind(proxies).with_tls(tls);
            endpoints.extend(door.address().map(|address| format!("https://{address}")));
            api.push(door);
        }
        if let Some(socket) = &listen.socket {
            api.push(Door::unix("listen.socket", socket, patience, inherited)?);
            endpoints.push(socket.path.display().to_string());
        }
        let admin = Door::tcp("listen.admin", listen.admin, patience, inherited)?;
        let health =
            listen.health.map(|address| Door::tcp("listen.health", address, patience, inherited)).transpose()?;
        let admin_address = admin.address().unwrap_or(listen.admin);
        let credentials =
            house.settings.credentials.as_ref().map(|it| vending_door(house, it, inherited)).transpose()?;
        let credentials_address = credentials.as_ref().and_then(|(door, _)| door.address());
        let health_address = health.as_ref().and_then(Door::address);
        Ok(Self {
            health_address,
            api,
            admin,
            health,
            credentials,
            endpoints,
            api_address,
            admin_address,
            credentials_address,
        })
    }
}

impl Doors {
    /// The sockets of all of them, once more, for a successor.
    ///
    /// # Errors
    /// The process may not have more file descriptors.
    pub fn handles(&self) -> std::io::Result<Vec<(String, OwnedFd)>> {
        let credentials = self.credentials.as_ref().map(|(door, _)| door);
        let all = self.api.iter().chain([&self.admin]).chain(&self.health).chain(credentials);
        all.map(Door::handle).collect()
    }
}

/// File descriptors that the process needs for other things than clients.
const DESCRIPTORS_OF_OURS: u64 = 192;

/// Makes room for as many clients as the settings allow, or lowers what they allow to the room there is: without a
/// descriptor left, not even the admin port would answer.
///
/// Each of the API's doors has room for as many.
pub fn make_room(limits: &mut Limits, listen: &Listen) {
    let doors = [listen.api.is_some(), listen.tls.is_some(), listen.socket.is_some()];
    let doors = doors.into_iter().filter(|is_there| *is_there).count().max(1);
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let room = usize::try_from(descriptors.saturating_sub(DESCRIPTORS_OF_OURS)).unwrap_or(usize::MAX);
    let room = (room / doors).max(1);
    if limits.connections > room {
        let wanted = limits.connections;
        tracing::warn!(wanted, room, "limits.connections is lowered: the process may not have more file descriptors");
        limits.connections = room;
    }
}

fn vending_door(
    house: &House,
    credentials: &Credentials,
    inherited: &mut Inherited,
) -> Result<(Door, Arc<Vending>), String> {
    let patience = house.settings.limits.request;
    let door = match &credentials.at {
        CredentialsDoor::Loopback(address, _) => Door::tcp("credentials.listen", *address, patience, inherited),
        CredentialsDoor::Socket(socket, _) => Door::unix("credentials.socket", socket, patience, inherited),
    }?;
    let counter = house.telemetry.metrics.credentials.clone();
    let vending = Vending::new(house.store.clone(), credentials.clone(), door.address(), counter)?;
    Ok((door, Arc::new(vending)))
}

/// Takes the sockets of the settings that were not handed over. What was stays as it is, also what the settings do not have:
/// somebody else serves there.
///
/// # Errors
/// Says which cannot be had, and why.
pub fn reserve(settings: &Settings, mut inherited: Inherited) -> Result<Inherited, String> {
    let listen = &settings.listen;
    let credentials = settings.credentials.as_ref().map(|credentials| &credentials.at);
    let vending = credentials.and_then(|at| match at {
        CredentialsDoor::Loopback(address, _) => Some(*address),
        CredentialsDoor::Socket(..) => None,
    });
    let tcp = [
        ("listen.api", listen.api),
        ("listen.tls", listen.tls.as_ref().map(|(address, _)| *address)),
        ("listen.admin", Some(listen.admin)),
        ("listen.health", listen.health),
        ("credentials.listen", vending),
    ];
    let vending = credentials.and_then(|at| match at {
        CredentialsDoor::Socket(socket, _) => Some(socket),
        CredentialsDoor::Loopback(..) => None,
    });
    let unix = [("listen.socket", listen.socket.as_ref()), ("credentials.socket", vending)];
    for (setting, address) in tcp.into_iter().filter_map(|(setting, address)| Some((setting, address?))) {
        Door::reserve_tcp(setting, address, &mut inherited)?;
    }
    for (setting, socket) in unix.into_iter().filter_map(|(setting, socket)| Some((setting, socket?))) {
        Door::reserve_unix(setting, socket, &mut inherited)?;
    }
    Ok(inherited)
}
