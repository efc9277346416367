//! The header by which a server learns whom a connection is for: the PROXY protocol, version 2, as HAProxy's
//! `proxy-protocol.txt` has it, section 2.2.

use std::net::{IpAddr, SocketAddr};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, on behalf of somebody.
const VERSION_AND_COMMAND: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// The header for a client, and the address of ours that it connected to.
pub(super) fn header(client: SocketAddr, ours: SocketAddr) -> Vec<u8> {
    let mut addresses = Vec::with_capacity(36);
    let family = match (client.ip().to_canonical(), ours.ip().to_canonical()) {
        (IpAddr::V4(client), IpAddr::V4(ours)) => {
            addresses.extend(client.octets());
            addresses.extend(ours.octets());
            TCP_OVER_IPV4
        }
        (client, ours) => {
            addresses.extend(in_ipv6(client));
            addresses.extend(in_ipv6(ours));
            TCP_OVER_IPV6
        }
    };
    addresses.extend(client.port().to_be_bytes());
    addresses.extend(ours.port().to_be_bytes());
    let length = u16::try_from(addresses.len()).expect("it is 36 at most");
    let mut header = SIGNATURE.to_vec();
    header.extend([VERSION_AND_COMMAND, family]);
    header.extend(length.to_be_bytes());
    header.extend(addresses);
    header
}

fn in_ipv6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn two_addresses_of_ipv4_make_28_bytes() {
        let expected = [
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".as_slice(),
            &[10, 1, 2, 3, 127, 0, 0, 1],
            &[0xd4, 0x31, 0x18, 0xeb],
        ]
        .concat();
        let (client, ours) = (address("10.1.2.3:54321"), address("127.0.0.1:6379"));
        assert_eq!(header(client, ours), expected);
        let (client, ours) = (
            address("[::ffff:10.1.2.3]:54321"),
            address("[::ffff:127.0.0.1]:6379"),
        );
        assert_eq!(header(client, ours), expected, "a socket for both kinds");
    }

    #[test]
    fn two_addresses_of_ipv6_make_52_bytes() {
        let header = header(address("[2001:db8::1]:1"), address("[::1]:2"));
        assert_eq!(&header[12..16], &[0x21, 0x21, 0, 36]);
        assert_eq!(&header[16..20], &[0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!(header[31], 1);
        assert_eq!(header[47], 1);
        assert_eq!(&header[48..], &[0, 1, 0, 2]);
        assert_eq!(header.len(), 52);
    }
}
