//! A small body that unpacks to a large one.

use crate::wire;

/// A compressed message of so many bytes, as gRPC frames it: zeros, packed as well as deflate can.
pub(crate) fn message(bytes: usize) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut bits = Bits::default();
    // One last block, with the fixed code.
    bits.push(0b1, 1);
    bits.push(0b01, 2);
    // The byte 0, and then again and again the 258 bytes before.
    bits.push(0b0000_1100, 8);
    while packed.len() + bits.bytes.len() < bytes - 16 {
        bits.push(0b1010_0011, 8);
        bits.push(0, 5);
    }
    packed.extend(bits.bytes);
    let mut message = wire::grpc(&packed);
    message[0] = 1;
    message
}

/// Bits in the order of deflate: the first is the lowest of its byte.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn push(&mut self, bits: u32, count: u32) {
        for number in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((bits >> number & 1) as u8) << (self.used % 8);
            }
            self.used += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_a_compressed_message_that_says_its_length() {
        let bomb = message(1_000);
        assert_eq!(bomb[0], 1);
        assert_eq!(bomb.len(), 5 + u32::from_be_bytes(bomb[1..5].try_into().unwrap()) as usize);
        assert!(bomb.len() <= 1_000);
    }

    #[test]
    fn zlib_reads_a_zero_and_then_258_zeros_in_every_13_bits() {
        // Taken from a stream that zlib was seen to unpack to 9.5 MB.
        let bomb = message(1_000);
        assert_eq!(bomb[15..23], ZLIB_READS);
    }

    const ZLIB_READS: [u8; 8] = [0x63, 0x18, 0x05, 0xa3, 0x60, 0x14, 0x8c, 0x82];
}
