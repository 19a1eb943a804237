//! Names, asked of a real name server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use trellis_resilience::Environment;
use trellis_resilience::net::Address;
use trellis_resilience::net::resolve::{Dns, Resolve as _, ResolveError, Target, watch};

/// Knows one name, and answers what it is told to.
struct NameServer {
    address: SocketAddr,
    hosts: Arc<Mutex<Option<Vec<Ipv4Addr>>>>,
    answered: watch::Receiver<usize>,
    _server: JoinSet<()>,
}

impl NameServer {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let hosts = Arc::new(Mutex::new(None));
        let (count, answered) = watch::channel(0);
        let mut server = JoinSet::new();
        server.spawn(serve(socket, Arc::clone(&hosts), count));
        Self { address, hosts, answered, _server: server }
    }

    /// `None`: there is no such name.
    fn say(&self, hosts: Option<&[[u8; 4]]>) {
        let hosts = hosts.map(|hosts| hosts.iter().copied().map(Ipv4Addr::from).collect());
        *self.hosts.lock().unwrap() = hosts;
    }

    fn dns(&self) -> Dns {
        Dns::new("peers.test", 50051).name_servers([self.address])
    }

    /// Waits until that many more questions were answered.
    async fn answered(&mut self, more: usize) {
        let enough = *self.answered.borrow() + more;
        self.answered.wait_for(|count| *count >= enough).await.unwrap();
    }
}

async fn serve(
    socket: UdpSocket,
    hosts: Arc<Mutex<Option<Vec<Ipv4Addr>>>>,
    count: watch::Sender<usize>,
) {
    let mut buffer = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let answer = answer(&buffer[..length], hosts.lock().unwrap().as_deref());
        socket.send_to(&answer, from).await.unwrap();
        count.send_modify(|count| *count += 1);
    }
}

/// RFC 1035, 4.1.
fn answer(question: &[u8], hosts: Option<&[Ipv4Addr]>) -> Vec<u8> {
    const A: u16 = 1;
    let name = question[12..].iter().position(|byte| *byte == 0).unwrap() + 12;
    let kind = u16::from_be_bytes([question[name + 1], question[name + 2]]);
    let found = hosts.filter(|_| kind == A).unwrap_or_default();
    let code = if hosts.is_some() { 0x80 } else { 0x83 };

    let mut answer = question[..2].to_vec();
    answer.extend([0x81, code, 0, 1, 0, u8::try_from(found.len()).unwrap(), 0, 0, 0, 0]);
    answer.extend(&question[12..name + 5]);
    for host in found {
        // The name again, A, IN, an hour, and four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4]);
        answer.extend(host.octets());
    }
    answer
}

fn sockets(hosts: &[[u8; 4]]) -> Vec<Address> {
    hosts.iter().map(|host| SocketAddr::from((*host, 50051)).into()).collect()
}

#[tokio::test]
async fn a_name_has_the_addresses_that_its_server_says_now() {
    let server = NameServer::start().await;
    let dns = server.dns();
    server.say(Some(&[[10, 0, 0, 1], [10, 0, 0, 2]]));
    let mut found = dns.resolve().await.unwrap();
    found.addresses.sort_unstable();
    assert_eq!(found.addresses, sockets(&[[10, 0, 0, 1], [10, 0, 0, 2]]));
    assert_eq!(found.refresh, Some(Duration::from_secs(5)), "whatever the record says");

    server.say(Some(&[[10, 0, 0, 3]]));
    let found = dns.resolve().await.unwrap();
    assert_eq!(found.addresses, sockets(&[[10, 0, 0, 3]]), "the hour is not over");

    for nothing in [Some(&[][..]), None] {
        server.say(nothing);
        let error = dns.resolve().await.unwrap_err();
        assert!(matches!(&error, ResolveError::Lookup { host, .. } if host == "peers.test"));
    }
}

#[tokio::test]
async fn addresses_and_the_hosts_file_need_no_name_server() {
    let server = NameServer::start().await;
    for (host, address) in [("127.0.0.1", "127.0.0.1:7"), ("::1", "[::1]:7")] {
        let found = Dns::new(host, 7).name_servers([server.address]).resolve().await.unwrap();
        assert_eq!(found.addresses, [address.parse::<SocketAddr>().unwrap().into()]);
        assert_eq!(found.refresh, None, "it never changes");
    }
    let target: Target = "http://localhost:7,http://127.0.0.2:7".parse().unwrap();
    let found = target.resolve().await.unwrap();
    let expected = ["127.0.0.1:7", "127.0.0.2:7"].map(|text| text.parse::<SocketAddr>().unwrap());
    assert_eq!(found.addresses, expected.map(Address::from));
    assert_eq!(*server.answered.borrow(), 0);
}

/// Behaviour 45.
#[tokio::test]
async fn a_set_follows_its_name_server_and_survives_its_failures() {
    let mut server = NameServer::start().await;
    server.say(Some(&[[10, 0, 0, 1], [10, 0, 0, 2]]));
    let dns = server.dns().refresh(Duration::from_millis(5));
    let mut watched = watch(Arc::new(dns), &Environment::tokio(), "peers".into());
    let set = |watched: &trellis_resilience::net::resolve::Watched| {
        watched.addresses.borrow().as_deref().map(<[_]>::to_vec)
    };
    watched.addresses.changed().await.unwrap();
    assert_eq!(set(&watched), Some(sockets(&[[10, 0, 0, 1], [10, 0, 0, 2]])));

    server.say(Some(&[[10, 0, 0, 2], [10, 0, 0, 3]]));
    watched.addresses.changed().await.unwrap();
    assert_eq!(set(&watched), Some(sockets(&[[10, 0, 0, 2], [10, 0, 0, 3]])));

    server.answered(3).await;
    server.say(None);
    server.answered(1).await;
    assert!(!watched.addresses.has_changed().unwrap());
    assert_eq!(set(&watched), Some(sockets(&[[10, 0, 0, 2], [10, 0, 0, 3]])));
}
