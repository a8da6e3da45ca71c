use half::f16;
use pyrograph_checkpoint::{SafetensorsFile, Weights};

use crate::safetensors;

/// All 256 codes of a type of eight bits.
fn codes(dtype: &str) -> Vec<f16> {
    let header = format!(r#"{{"a":{{"dtype":"{dtype}","shape":[16,16],"data_offsets":[0,256]}}}}"#);
    let codes: Vec<u8> = (0..=u8::MAX).collect();
    let file = SafetensorsFile::from_bytes("fp8", safetensors(&header, &codes)).unwrap();
    let data = file.read("a").unwrap();
    assert_eq!(data.shape().as_slice(), [16, 16]);
    data.try_into_vec().unwrap()
}

/// `(-1)^sign * 2^(exponent - bias) * 1.mantissa`, and `0.mantissa` with the lowest exponent where that is 0.
fn by_definition(code: u8, mantissa_bits: u32, bias: i32) -> f64 {
    let mantissa = f64::from(code & ((1 << mantissa_bits) - 1)) / f64::from(1 << mantissa_bits);
    let exponent = i32::from(code & 0x7f) >> mantissa_bits;
    let magnitude = match exponent {
        0 => mantissa * 2_f64.powi(1 - bias),
        _ => (1.0 + mantissa) * 2_f64.powi(exponent - bias),
    };
    if code >= 0x80 { -magnitude } else { magnitude }
}

#[test]
fn all_codes_of_float8_e4m3fn() {
    for (code, value) in (0..=u8::MAX).zip(codes("F8_E4M3")) {
        if code & 0x7f == 0x7f {
            assert!(value.is_nan(), "{code:#x}");
        } else {
            assert_eq!(value.to_bits(), f16::from_f64(by_definition(code, 3, 7)).to_bits(), "{code:#x}: {value}");
        }
    }
}

#[test]
fn all_codes_of_float8_e5m2() {
    for (code, value) in (0..=u8::MAX).zip(codes("F8_E5M2")) {
        match code & 0x7f {
            0x7c => assert_eq!(value.to_f64(), if code < 0x80 { f64::INFINITY } else { f64::NEG_INFINITY }),
            0x7d..=0x7f => assert!(value.is_nan(), "{code:#x}"),
            _ => assert_eq!(value.to_bits(), f16::from_f64(by_definition(code, 2, 15)).to_bits(), "{code:#x}"),
        }
    }
}

/// The ranges that <https://arxiv.org/abs/2209.05433> lists in table 1.
#[test]
fn the_ranges_of_float8() {
    let [e4m3, e5m2] = ["F8_E4M3", "F8_E5M2"].map(codes);
    assert_eq!([e4m3[0x7e], e4m3[0x08], e4m3[0x01]].map(f64::from), [448.0, 2_f64.powi(-6), 2_f64.powi(-9)]);
    assert_eq!([e5m2[0x7b], e5m2[0x04], e5m2[0x01]].map(f64::from), [57344.0, 2_f64.powi(-14), 2_f64.powi(-16)]);
}

#[test]
fn names_and_sizes_are_those_of_the_safetensors_crate() {
    for name in "BOOL U8 I8 U16 I16 U32 I32 U64 I64 F4 F6_E2M3 F6_E3M2 F8_E4M3 F8_E5M2 F8_E4M3FNUZ F8_E5M2FNUZ F8_E8M0 F16 BF16 F32 F64 C64".split(' ') {
        let theirs: safetensors::Dtype = serde_json::from_value(name.into()).unwrap();
        let bytes = theirs.bitsize(); // eight elements
        let header = format!(r#"{{"a":{{"dtype":"{name}","shape":[8],"data_offsets":[0,{bytes}]}}}}"#);
        let file = SafetensorsFile::from_bytes("types", safetensors(&header, &vec![0; bytes])).unwrap();
        let dtype = file.info("a").unwrap().dtype;
        assert_eq!((dtype.to_string(), dtype.bits()), (theirs.to_string(), bytes as u64));
    }
}
