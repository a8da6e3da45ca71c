alias Elem = f32;
