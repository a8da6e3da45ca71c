/// Compiles a function for AVX-512, for AVX2 and for the build's own target, and calls the best that the processor has.
///
/// The compiler vectorises plain loops, but only for the instructions it may assume: on x86-64 that is SSE2, four
/// values at a time instead of sixteen. The functions that it calls must be `#[inline(always)]`.
macro_rules! vectorized {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) $(-> $out)? {
            #[inline(always)]
            fn plain($($arg: $ty),*) $(-> $out)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $out)? {
                    plain($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $out)? {
                    plain($($arg),*)
                }
                if $crate::cpu::vectorized::has_avx512() {
                    // Safe because the processor has the features.
                    #[expect(unsafe_code, reason = "calls code for instructions that were just detected")]
                    return unsafe { avx512($($arg),*) };
                }
                if $crate::cpu::vectorized::has_avx2() {
                    // Safe because the processor has the features.
                    #[expect(unsafe_code, reason = "calls code for instructions that were just detected")]
                    return unsafe { avx2($($arg),*) };
                }
            }
            plain($($arg),*)
        }
    };
}
pub(super) use vectorized;

#[cfg(target_arch = "x86_64")]
pub(super) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

#[cfg(target_arch = "x86_64")]
pub(super) fn has_avx512() -> bool {
    has_avx2()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}
