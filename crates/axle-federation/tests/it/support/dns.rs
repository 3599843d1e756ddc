//! A name server on UDP that knows a few records.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr as _;
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

#[derive(Default)]
pub struct Records(Vec<(Name, RData)>);

impl Records {
    pub fn address(mut self, name: &str, address: &str) -> Self {
        let data = match address.parse::<IpAddr>().unwrap() {
            IpAddr::V4(v4) => RData::A(v4.into()),
            IpAddr::V6(v6) => RData::AAAA(v6.into()),
        };
        self.0.push((fqdn(name), data));
        self
    }

    pub fn cname(mut self, name: &str, target: &str) -> Self {
        self.0.push((fqdn(name), RData::CNAME(CNAME(fqdn(target)))));
        self
    }

    pub fn srv(mut self, name: &str, priority: u16, port: u16, target: &str) -> Self {
        self.0.push((fqdn(name), RData::SRV(SRV::new(priority, 0, port, fqdn(target)))));
        self
    }
}

pub struct Dns {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Dns {
    pub async fn start(records: Records) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let task = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let Ok(query) = Message::from_vec(&buffer[..length]) else { continue };
                let question = query.queries[0].clone();
                log.lock().unwrap().push(format!("{} {}", question.query_type(), question.name()));
                let answer = answer(&records, query);
                socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
            }
        });
        Self { address, asked, task }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer(records: &Records, query: Message) -> Message {
    let question = query.queries[0].clone();
    let mut message = Message::response(query.metadata.id, query.metadata.op_code);
    message.metadata.message_type = MessageType::Response;
    message.metadata.recursion_desired = true;
    message.metadata.recursion_available = true;
    message.add_query(question.clone());
    let mut name = question.name().clone();
    let mut known = false;
    // A chain of one alias at most.
    for _ in 0..2 {
        let of_name: Vec<_> = records.0.iter().filter(|(owner, _)| *owner == name).collect();
        known |= !of_name.is_empty();
        let mut alias = None;
        for (owner, data) in of_name {
            if data.record_type() == question.query_type() || data.record_type() == RecordType::CNAME {
                message.add_answer(Record::from_rdata(owner.clone(), 60, data.clone()));
            }
            if let RData::CNAME(target) = data {
                alias = Some(target.0.clone());
            }
        }
        match alias {
            Some(target) => name = target,
            None => break,
        }
    }
    if !known {
        message.metadata.response_code = ResponseCode::NXDomain;
    }
    message
}

fn fqdn(name: &str) -> Name {
    Name::from_str(&format!("{name}.")).unwrap()
}
