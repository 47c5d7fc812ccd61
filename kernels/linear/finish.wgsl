// The end of every linear kernel: linear/emit.wgsl, of a weight without adapters.

${linear/emit}
${linear/no_lora}
