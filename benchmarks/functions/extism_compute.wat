;; fib and sieve of compute.wat behind Extism's interface: a decimal number in, one out.
(module
  (import "extism:host/env" "input_length" (func $input_length (result i64)))
  (import "extism:host/env" "input_load_u8" (func $input_u8 (param i64) (result i32)))
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/env" "store_u8" (func $store_u8 (param i64 i32)))
  (import "extism:host/env" "output_set" (func $output_set (param i64 i64)))
  (memory (export "memory") 1)

  (func $number (result i32)
    (local $i i64) (local $value i32)
    (block $done
      (loop $next
        (br_if $done (i64.ge_u (local.get $i) (call $input_length)))
        (local.set $value (i32.add
          (i32.mul (local.get $value) (i32.const 10))
          (i32.sub (call $input_u8 (local.get $i)) (i32.const 48))))
        (local.set $i (i64.add (local.get $i) (i64.const 1)))
        (br $next)))
    (local.get $value))

  (func $answer (param $value i32)
    (local $output i64) (local $digit i64)
    (local.set $output (call $alloc (i64.const 10)))
    (local.set $digit (i64.const 10))
    (loop $next
      (local.set $digit (i64.sub (local.get $digit) (i64.const 1)))
      (call $store_u8 (i64.add (local.get $output) (local.get $digit))
        (i32.add (i32.const 48) (i32.rem_u (local.get $value) (i32.const 10))))
      (local.set $value (i32.div_u (local.get $value) (i32.const 10)))
      (br_if $next (local.get $value)))
    (call $output_set
      (i64.add (local.get $output) (local.get $digit))
      (i64.sub (i64.const 10) (local.get $digit))))

  (func $fibonacci (param $n i32) (result i32)
    (if (result i32) (i32.lt_s (local.get $n) (i32.const 2))
      (then (local.get $n))
      (else (i32.add
        (call $fibonacci (i32.sub (local.get $n) (i32.const 1)))
        (call $fibonacci (i32.sub (local.get $n) (i32.const 2)))))))

  (func $primes (param $limit i32) (result i32)
    (local $i i32) (local $j i64) (local $count i32) (local $wanted i32)
    (local.set $wanted
      (i32.add (i32.const 1) (i32.shr_u (local.get $limit) (i32.const 16))))
    (if (i32.gt_u (local.get $wanted) (memory.size))
      (then (drop (memory.grow (i32.sub (local.get $wanted) (memory.size))))))
    (memory.fill (i32.const 0) (i32.const 0) (local.get $limit))
    (local.set $i (i32.const 2))
    (block $done
      (loop $next
        (br_if $done (i32.ge_s (local.get $i) (local.get $limit)))
        (if (i32.eqz (i32.load8_u (local.get $i)))
          (then
            (local.set $count (i32.add (local.get $count) (i32.const 1)))
            (local.set $j
              (i64.mul (i64.extend_i32_s (local.get $i)) (i64.extend_i32_s (local.get $i))))
            (block $crossed
              (loop $cross
                (br_if $crossed
                  (i64.ge_s (local.get $j) (i64.extend_i32_s (local.get $limit))))
                (i32.store8 (i32.wrap_i64 (local.get $j)) (i32.const 1))
                (local.set $j (i64.add (local.get $j) (i64.extend_i32_s (local.get $i))))
                (br $cross)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $count))

  (func (export "fib") (result i32)
    (call $answer (call $fibonacci (call $number))) (i32.const 0))

  (func (export "sieve") (result i32)
    (call $answer (call $primes (call $number))) (i32.const 0)))
