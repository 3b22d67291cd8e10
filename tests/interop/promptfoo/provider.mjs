// SPDX-License-Identifier: Apache-2.0
//
// The agent under promptfoo's test: it hands the trace context that it is given to the interop
// tests, which send its spans through Sidejudge, and answers when these say so. promptfoo then
// looks at the spans that it has.

export default class Agent {
    id() {
        return 'agent';
    }

    async callApi(prompt, context) {
        const response = await fetch(process.env.INTEROP_CONTROL_URL, {
            method: 'POST',
            body: JSON.stringify({prompt, traceparent: context.traceparent}),
        });
        return {output: await response.text()};
    }
}
