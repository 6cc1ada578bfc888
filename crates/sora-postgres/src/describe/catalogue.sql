-- Tables (kind 0), their columns (1), the checks of one column (2) and their indexes (3), by table.
--
-- One statement, so that it is one round trip and one state of the catalogue. All that differs between
-- versions is read as JSON, where a field that is missing is null.
WITH found AS (
    SELECT c.oid, c.relname::text AS name, c.relkind IN ('v', 'm', 'f') AS is_view,
        c.relkind = 'f' AS is_foreign, c.relkind = 'p' AS is_partitioned
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND pg_catalog.pg_table_is_visible(c.oid)
        AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
        AND CASE
            WHEN $1::text IS NOT NULL THEN
                lower(c.relname::text COLLATE "C") = lower($1::text COLLATE "C")
            ELSE
                -- Not the parts of others, nor what belongs to a session, an extension or to Sora.
                NOT c.relispartition
                AND c.relpersistence <> 't'
                AND left(c.relname::text, 6) <> '_sora_'
                AND NOT EXISTS (
                    SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_class'::regclass
                        AND d.objid = c.oid
                        AND d.deptype = 'e'
                )
        END
),
own AS (
    SELECT to_jsonb(d) AS database
    FROM pg_catalog.pg_database d
    WHERE d.datname = current_database()
)
SELECT oid AS table_oid, 0 AS kind, 0 AS position,
    ARRAY[name, is_view::text, is_partitioned::text] AS fields
FROM found
UNION ALL
SELECT a.attrelid, 1, a.attnum, ARRAY[
    a.attname::text,
    format_type(a.atttypid, a.atttypmod),
    format_type(base.oid, base.typmod),
    base.oid::text,
    base.typmod::text,
    -- What is foreign is not checked here.
    (NOT found.is_foreign AND (a.attnotnull OR base.not_null))::text,
    CASE
        WHEN a.attgenerated <> '' THEN 'computed'
        WHEN a.attidentity <> '' THEN 'identity'
        ELSE 'plain'
    END,
    coalesce(pg_get_expr(d.adbin, d.adrelid), pg_get_expr(own_type.typdefaultbin, 0)),
    -- The collation: its provider, its locale, its own name, and whether it is deterministic.
    CASE co.collprovider
        WHEN 'd' THEN coalesce(own.database ->> 'datlocprovider', 'c')
        ELSE co.collprovider::text
    END,
    CASE
        WHEN co.collprovider <> 'd' THEN to_jsonb(co) ->> 'collcollate'
        WHEN own.database ->> 'datlocprovider' IS DISTINCT FROM 'i' THEN own.database ->> 'datcollate'
        ELSE coalesce(own.database ->> 'datlocale', own.database ->> 'daticulocale')
    END,
    CASE WHEN co.collprovider <> 'd' THEN co.collname::text END,
    co.collisdeterministic::text
]
FROM found
JOIN pg_catalog.pg_attribute a ON a.attrelid = found.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type own_type ON own_type.oid = a.atttypid
CROSS JOIN own
-- Domains stand for the type below them; each may add that it is never null.
CROSS JOIN LATERAL (
    WITH RECURSIVE chain (oid, typmod, not_null, depth) AS (
        SELECT a.atttypid, a.atttypmod, false, 0
        UNION ALL
        SELECT t.typbasetype, t.typtypmod, chain.not_null OR t.typnotnull, chain.depth + 1
        FROM chain
        JOIN pg_catalog.pg_type t ON t.oid = chain.oid AND t.typtype = 'd'
    )
    SELECT chain.oid, chain.typmod, chain.not_null FROM chain ORDER BY chain.depth DESC LIMIT 1
) base
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
UNION ALL
SELECT k.conrelid, 2, k.conkey[1], ARRAY[quote_ident(a.attname), pg_get_expr(k.conbin, k.conrelid)]
FROM found
JOIN pg_catalog.pg_constraint k ON k.conrelid = found.oid
    AND k.contype = 'c' AND k.convalidated AND cardinality(k.conkey) = 1
JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
UNION ALL
SELECT i.indrelid, 3, 0, ARRAY[
    c.relname::text,
    i.indisprimary::text,
    i.indisunique::text,
    (i.indpred IS NULL AND i.indisvalid)::text,
    i.indimmediate::text,
    -- For each column its number, 0 for an expression; its direction and where its nulls are; and
    -- whether it is ordered as the column itself is.
    keys.list
]
FROM found
JOIN pg_catalog.pg_index i ON i.indrelid = found.oid
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am am ON am.oid = c.relam
CROSS JOIN LATERAL (
    SELECT string_agg(
        format('%s:%s:%s', k.number, k.option, am.amname = 'btree'
            AND k.collated IS NOT DISTINCT FROM a.attcollation
            AND EXISTS (
                SELECT FROM pg_catalog.pg_opclass other
                WHERE other.opcmethod = o.opcmethod AND other.opcdefault
                    AND other.opcintype = o.opcintype AND other.opcfamily = o.opcfamily
            )),
        ' ' ORDER BY k.position
    ) AS list
    FROM unnest(i.indkey::int2[], i.indoption::int2[], i.indclass::oid[], i.indcollation::oid[])
        WITH ORDINALITY AS k (number, option, class, collated, position)
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
    LEFT JOIN pg_catalog.pg_opclass o ON o.oid = k.class
    WHERE k.position <= i.indnkeyatts
) keys
ORDER BY 1, 2, 3, 4
