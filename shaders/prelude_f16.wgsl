enable f16;
alias Elem = f16;
