// SPDX-License-Identifier: Apache-2.0
//
// While generations change, a request is scanned once more than usual, to see whose traces are in
// it; at all other times nothing is looked at. Refused: deciding while the door plans, which would
// have to hold plans open for generations that get nothing. Bounds: ROUTES_OLDER_MAX earlier
// generations. Any thread.

#include "service/routes.h"

#include <string.h>

unsigned routes_party(const struct routes *routes, const struct item_view *view)
{
    for (size_t i = 0; view->trace_id != NULL && i < routes->older_count; i++) {
        if (routes->older[i].to.count > 0 &&
            trace_set_has(routes->older[i].traces, view->trace_id)) {
            return (unsigned)i + 1;
        }
    }
    return 0;
}

struct survey {
    const struct routes *routes;
    unsigned parties;  // bit set
};

static bool survey_item(void *arg, const struct item_view *view)
{
    struct survey *survey = arg;
    if (view->fault != SCAN_OK) {
        return true;  // belongs to nobody
    }
    unsigned party = routes_party(survey->routes, view);
    if (party == 0 && survey->routes->noted != NULL && view->trace_id != NULL) {
        (void)trace_set_add(survey->routes->noted, view->trace_id);
    }
    survey->parties |= 1U << party;
    return true;
}

const struct route_set *routes_set(const struct routes *routes, unsigned party)
{
    return party == 0 ? &routes->current : &routes->older[party - 1].to;
}

static void add_ways(struct itinerary *itinerary, const struct routes *routes, unsigned party)
{
    const struct route_set *set = routes_set(routes, party);
    for (size_t i = 0; i < set->count; i++) {
        itinerary->ways[itinerary->count].pipeline = set->pipelines[i];
        itinerary->ways[itinerary->count++].party = party;
    }
}

void routes_plan(const struct routes *routes, const struct batch *batch,
                 struct itinerary *itinerary)
{
    struct survey survey = {.routes = routes};
    itinerary->count = 0;
    itinerary->is_split = false;
    if (routes->older_count > 0 || routes->noted != NULL) {
        struct scan_report report;
        if (scan_request(batch->signal, batch->body, SCAN_CHECK_UTF8, survey_item, &survey,
                         &report) != RESULT_OK) {
            survey.parties = 1;  // whose plan says what is wrong
        }
    }
    size_t total = 0;
    for (unsigned party = 0; party <= routes->older_count; party++) {
        total += (survey.parties >> party & 1) != 0 ? routes_set(routes, party)->count : 0;
    }
    if (survey.parties == 0 || total > SETTINGS_PIPELINES_MAX) {
        survey.parties = 1;
    }
    for (unsigned party = 0; party <= routes->older_count; party++) {
        if ((survey.parties >> party & 1) != 0) {
            add_ways(itinerary, routes, party);
        }
    }
    itinerary->is_split = (survey.parties & (survey.parties - 1)) != 0;
}
