
# What cobra's script leaves out: an address within quotes, 'train.mlp["a"]', and a
# shell without the package bash-completion.
__flow_complete() {
    local word=${COMP_WORDS[COMP_CWORD]} quote="" line args
    [[ $word == "=" ]] && word=""
    case $word in
        \'* | \"*) quote=${word:0:1} word=${word:1} ;;
        *) if declare -F _get_comp_words_by_ref > /dev/null; then __start_flow; return; fi ;;
    esac
    args="${COMP_WORDS[*]:1:COMP_CWORD-1}"
    [[ ${COMP_WORDS[COMP_CWORD]} == "=" ]] && args+=" ="
    args=${args// = /=}
    if [[ $args == *" =" ]]; then args=${args% =}=; else args+=" "; fi
    [[ -z $quote && -n $word ]] || word=$(printf %q "$word")
    COMPREPLY=()
    while IFS= read -r line; do
        line=${line%%$'\t'*}
        [[ -n $quote ]] || line=$(printf %q "$line")
        COMPREPLY+=("$line")
    done < <(eval "${COMP_WORDS[0]} __complete $args$word" 2> /dev/null | sed '$d')
    compopt +o default 2> /dev/null
}

if [[ $(type -t compopt) = "builtin" ]]; then
    complete -o default -F __flow_complete flow
else
    complete -o default -o nospace -F __flow_complete flow
fi
